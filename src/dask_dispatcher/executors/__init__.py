"""Executors: the contract they share, and the engines behind them."""
