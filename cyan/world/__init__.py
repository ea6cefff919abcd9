"""The only modules that touch anything outside: host, engine, compose, proxy."""
