"""`make bench`: what the proxy's processor time goes to, beside nginx passing the same bytes on."""
