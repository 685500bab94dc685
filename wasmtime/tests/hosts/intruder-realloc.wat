;; The function that allocates its argument traps.
(component
  (core func $set (canon context.set i32 0))
  (core module $m
    (import "" "set" (func $set (param i32)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (call $set (i32.const 7))
      (i32.store (i32.const 0x7fff0000) (i32.const 1))
      (call $set (i32.const 8))
      (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32) (local.get 1)))
  (core instance $i (instantiate $m (with "" (instance (export "set" (func $set))))))
  (func (export "run") (param "x" string) (result u32)
    (canon lift (core func $i "run")
      (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
