"""Spec -> Plan -> Program: pure functions, no input or output, no clock, no globals."""
