"""``vidscan serve``: the scanner as an HTTP service, with a page for people (extra ``serve``).

:func:`vidscan.serve.server.run` ties the parts together. Nothing else of vidscan imports this package.
"""
