-- The journal has the idempotency keys: bus.Unit.
DROP TABLE order_keys;
