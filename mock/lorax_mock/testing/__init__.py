"""A mock as a test sees it: in a process of its own (`handle`, ended by its `tether`) or in the test's (`inprocess`).

`lorax_mock.plugin` makes fixtures of them.
"""
