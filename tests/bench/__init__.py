"""What a relayed packet costs: this relay and coturn under the same load. `make bench`; no part of the tests."""
