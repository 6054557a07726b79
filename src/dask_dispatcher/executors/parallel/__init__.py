"""`ParallelExecutor`: nodes on local processes, data where it is.

::

    program ── controller (one event loop, one lock) ──┬── socket pair ── worker process
    RunState  Schedule  Held: where values are         ├── socket pair ── worker process
                                                       └── ...               store of large values
                              large buffers: worker <── process_vm_readv ── worker, program

1. The **controller** takes slices of nodes from the schedules of its runs, packs them, and sends each
   to a worker. It never holds a large value; small ones (2 kB) pass through it, in its messages.
2. A **worker** runs a slice in its main thread and reports every few milliseconds. Its second thread
   reads the channel, so that a worker that is busy still answers: it can be asked to give back what
   it has not begun, and to let values go.
3. A **large value** stays in the worker that made it, pinned until the controller frees it. What
   travels is its *place*: addresses in that process. Whoever takes it reads its memory directly, and
   where the system forbids that, a file.
4. A **shared cell** of three integers a worker says which node it is in. When a worker dies, that node
   alone is counted as lost and runs alone next time; what had not begun goes back; what the worker
   alone held is computed again, if it is still needed.
"""
