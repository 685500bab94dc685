;; The same two adapters away from the host: each caller has set its slot, which an
;; adapter saves, clears and puts back.
(component
  (component $Inner
    (core func $set (canon context.set i32 0))
    (core module $m
      (import "" "set" (func $set (param i32)))
      (memory 1)
      (func (export "f") (param i32) (result i32)
        (call $set (i32.const 7))
        (i32.store (local.get 0) (i32.const 1))
        (call $set (i32.const 8))
        (i32.const 1)))
    (core instance $i (instantiate $m (with "" (instance (export "set" (func $set))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Outer
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f' (canon lower (func $f)))
    (core func $set (canon context.set i32 0))
    (core module $m
      (import "" "set" (func $set (param i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (call $set (i32.const 11))
        (i32.add (call $f (local.get 0)) (call $f (i32.const 0)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "set" (func $set)) (export "f" (func $f'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (instance $inner (instantiate $Inner))
  (instance $middle (instantiate $Outer (with "f" (func $inner "f"))))
  (instance $outer (instantiate $Outer (with "f" (func $middle "f"))))
  (export "run" (func $outer "f")))
