"""py-consul's own test-suite against `linkspan dev`: its files unchanged, its Docker fixtures replaced by a plugin.

`suite.py` fetches and runs it, `linkspan_instances.py` is the plugin, `left_out.toml` the table of tests that may fail.
None of its files is ever kept in this repository.
"""
