"""LoRAX's shard and the queues before it, as a machine in virtual time.

It knows of a request only its adapter and its counts (`jobs`), and decides who is loaded (`residency`) and who is
prefilled and decoded together (`scheduler`). `timing` and `schedule` tell what came of it; `workload` simulates one
without a server.
"""
