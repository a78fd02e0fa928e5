"""Probes: one module per runtime that can be watched, all through the one protocol of `greenscope.app.probe`.

Nothing is imported here, so that watching one runtime never loads another.
"""
