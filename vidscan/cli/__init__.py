"""The command line: thin, one file a command, each one call into the library.

Nothing here imports numpy, torch or pydantic at the top: ``vidscan --help`` must be quick.
"""
