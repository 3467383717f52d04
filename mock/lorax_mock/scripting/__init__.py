"""What LoRAX does not have: scripts and faults, by which tests decide answers, and the journal that they read.

A `script` has rules, the `rulebook` finds the one that acts, `faults` are what may go wrong on the way to the client,
`scripted_request` is a request with what all this makes of it, and the `journal` keeps it.
"""
