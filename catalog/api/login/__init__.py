"""`/v1/acl/auth-method*`, `/binding-rule*`, `/login` and `/logout`: tokens for proofs of another kind."""
