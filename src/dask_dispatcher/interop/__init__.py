"""Dask, both ways: Dask's graphs in ours, and our nodes in Dask's.

======================  =====================================================
``tasks, annotations``  one Dask task as one node, with the options that Dask knows
``graphs``              a Dask graph as nodes
``templates``           tasks that are alike as one function, for executors that pickle
``sharing``             a graph and its values by reference, for workers in this process
``chains``              chains of tasks made one, for executors of other processes
``callbacks``           Dask's own callbacks, called as our nodes run
``getting``             `Executor.get`: what Dask calls a scheduler
``collections``         `from_dask`, and collections among the arguments of an Op
``protocol``            a node as a Dask collection
======================  =====================================================

Graphs are made of ordinary nodes and run through `Executor.run`, so that every executor, a third
party's too, takes them, and whatever makes an executor better makes this better. Nothing here is
imported before somebody brings a Dask graph or asks a node for its own.
"""
