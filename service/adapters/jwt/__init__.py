"""Authentication by JSON Web Tokens (RFC 7519) that the application's backend issues."""
