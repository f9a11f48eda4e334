//! Modbus bridge: TCP, RTU and RTU over TCP.
