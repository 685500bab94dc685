;; A callee behind an adapter that waits in the host. Both have set their slots.
(component
  (import "pause" (func $pause))
  (component $Callee
    (import "pause" (func $pause))
    (core func $pause' (canon lower (func $pause)))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "pause" (func $pause))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (func (export "f") (param i32) (result i32)
        (call $set (i32.const 7))
        (if (local.get 0) (then (call $pause)))
        (i32.add (call $get) (local.get 0))))
    (core instance $i (instantiate $m (with "" (instance
      (export "pause" (func $pause')) (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Caller
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f' (canon lower (func $f)))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (func (export "run") (param i32) (result i32)
        (call $set (i32.const 42))
        (i32.add (call $f (local.get 0)) (call $get))))
    (core instance $i (instantiate $m (with "" (instance
      (export "f" (func $f')) (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee (with "pause" (func $pause))))
  (instance $caller (instantiate $Caller (with "f" (func $callee "f"))))
  (export "run" (func $caller "run")))
