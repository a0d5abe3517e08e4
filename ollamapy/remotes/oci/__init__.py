"""Registries that speak the OCI distribution API: manifests and blobs, tokens, uploads.

session.py    one registry: requests with a token, redirects, errors in the contract's words
auth.py       the challenge of a registry and the signed request for a token
parts.py      how a blob is cut into parts, and their state on disk in Ollama's form
tries.py      what is tried again, and how long to wait before
download.py   one blob into the store: parts in parallel, resumed, retried, verified
upload.py     one blob into the registry: mounted, or in parts that the registry may send elsewhere
remote.py     a model's manifest, and its blobs as remotes
"""
