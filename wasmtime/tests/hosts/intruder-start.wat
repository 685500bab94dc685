;; Cannot be instantiated: its start function traps.
(component
  (core func $set (canon context.set i32 0))
  (core module $m
    (import "" "set" (func $set (param i32)))
    (memory 1)
    (func $start
      (call $set (i32.const 7))
      (i32.store (i32.const 0x7fff0000) (i32.const 1))
      (call $set (i32.const 8)))
    (start $start))
  (core instance $i (instantiate $m (with "" (instance (export "set" (func $set)))))))
