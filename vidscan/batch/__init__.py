"""Many clips: finding them, scanning them in worker processes, keeping the results.

:func:`vidscan.batch.scan.scan_all` ties the parts together.
"""
