;; The function that runs when a result has been read traps.
(component
  (core func $set (canon context.set i32 0))
  (core module $m
    (import "" "set" (func $set (param i32)))
    (memory 1)
    (func (export "run") (param i32) (result i32) (i32.const 1))
    (func (export "post") (param i32)
      (call $set (i32.const 7))
      (i32.store (i32.const 0x7fff0000) (i32.const 1))
      (call $set (i32.const 8))))
  (core instance $i (instantiate $m (with "" (instance (export "set" (func $set))))))
  (func (export "run") (param "x" u32) (result u32)
    (canon lift (core func $i "run") (post-return (core func $i "post")))))
