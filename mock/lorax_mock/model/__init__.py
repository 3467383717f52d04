"""The made-up model: which tokens answer a request, how likely each was, and who speaks.

`engine` makes the whole answer as a function of the request and the seed; `personas` say it, `distribution` has its
probabilities, `adapter_catalogue` says which adapter answers or why none does, and `encoders` embeds and classifies.
"""
