"""Leave to call somebody, asked of the application's backend over HTTP."""
