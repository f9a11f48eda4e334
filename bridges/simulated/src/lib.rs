//! Invented devices with faults and virtual serial lines, for the demo and for tests.
