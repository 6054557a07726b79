"""Runs nodes in this process: plain functions on threads, coroutines on an event loop.

::

    AsyncExecutor                  what users see                                (executor.py)
      ThreadEngine                 the runs, the threads, the resources          (engine.py)
        Job                        a run, as this engine sees it                 (job.py)
        Crew, Member               threads that pull ready nodes                 (crew.py)
        Carriers                   tasks that carry coroutine nodes              (carriers.py)
        Watch                      an event loop on a thread: timers, stalls     (watch.py)

The fast path is a thread that holds a *slice*, some hundred nodes that are all ready, and calls one
after the other; the lock is taken once a slice, not once a node. Python runs one thread at a time
anyway, so one thread is all that tiny calls need. What a slice must not do is hold others up: twice
in a few milliseconds the watch looks at what each thread is calling, and from one that is still in
the same call it takes the rest of the slice and what it has finished. The function it is stuck in
is known as slow from then on; slow calls are handed out one by one, each to a thread of its own, as
many threads as there are calls if they wait, as many as there are cores if they compute.
"""
