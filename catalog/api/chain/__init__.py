"""`/v1/discovery-chain`: the compiled chain of a service as Consul prints it. It only reads."""
