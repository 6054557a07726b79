"""Runs nodes on a stock Dask scheduler with stock workers.

::

    DaskExecutor, Client        what users see                     (executor.py, ../../client.py)
        DaskEngine              a Drive: groups as Dask tasks      (engine.py)
            Feeder, Crew, Job   what is sent next, and where to    (feeding.py, crew.py, job.py)
              Taker, Estimates  how many go together, and why      (taking.py, estimates.py)
              Company, Trees    which large values are to meet, or need not outlive their group
                                                                   (../company.py, trees.py)
              Member, Reclaimer what waits on a worker, and for whom it is taken back
                                                                   (members.py, reclaiming.py)
            Sender, Inbox       how it is sent, what is heard      (sending.py, inbox.py)
            Holdings, Watch     large values, workers that go      (holdings.py, watching.py)
            Connection          finds, connects, watches           (connection.py, addresses.py)
                                or starts an embedded cluster      (embedded.py, a program)
    ------------------------------------------------------------------------------
        Parcel, Runner          what runs on workers               (parcels.py, running.py)
        Kept, Box               what stays there                   (boxes.py)

Only this package and the two modules that build on it import ``distributed``.
"""
