"""A mock as a test sees it: in a process of its own (`mock_server`, ended by its `tether`) or in the test's (`inprocess`).

`lorax_mock.plugin` makes fixtures of them.
"""
