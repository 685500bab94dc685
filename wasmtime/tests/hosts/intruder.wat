;; Sets slot 0, traps if asked to by a large argument, and sets it again.
(component
  (core func $set (canon context.set i32 0))
  (core module $m
    (import "" "set" (func $set (param i32)))
    (memory 1)
    (func (export "run") (param i32) (result i32)
      (call $set (i32.const 7))
      (i32.store (local.get 0) (i32.const 1))
      (call $set (i32.const 8))
      (i32.const 1)))
  (core instance $i (instantiate $m (with "" (instance (export "set" (func $set))))))
  (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
