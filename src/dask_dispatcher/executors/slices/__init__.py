"""Slices: nodes that travel together and are run one after the other by one worker.

What a worker elsewhere needs in order to run nodes of this program, and what it has to say
afterwards, whatever carries the messages. `packing` turns nodes into `entries`, plain tuples that
cost little to pickle; `running` runs them and collects the outcome; `carrying` pickles values, and
`failures` what nodes raise, so that nothing of the user's can raise on the way.

Small values ride along: those a slice needs come with it, those it computes go back with its report.
Large ones stay where they are, and only their whereabouts travel.
"""
