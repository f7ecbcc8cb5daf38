"""The Lambda functions: thin, one module each."""
