"""A calling system of clients, supernodes and relays, and the container lab that proves which path each call took."""
