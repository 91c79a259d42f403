"""Call control: load, step, commit, perform. The only place where decisions of the domain become acts."""
