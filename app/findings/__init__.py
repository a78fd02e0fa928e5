"""Diagnosis: what is wrong in the observed program, and on which line.

    watchdog --blocks--> ledger --+
    feed's events ----------------+--> checks --cases--> diagnosis --> findings: rows, and `finding` events
    survey of all greenlets ------+

A check is a small file: `check` looks at a scene and returns cases (raw facts), `format` makes a sentence of one,
`summary` says what the check is for. `Diagnosis` decides when each of them runs, gives what they find a stable id, and
lets it age. Severity is `info` for what may be meant so, `warning` for what hurts, `critical` for what stands still.
"""
