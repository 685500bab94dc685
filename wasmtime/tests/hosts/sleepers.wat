;; A task that calls an adapter, sleeps, and calls it again. Caller and callee have
;; something in their slots, which the caller has to find again.
(component
  (import "depth" (func $depth (result u32)))
  (import "sleep" (func $sleep async))
  (component $Callee
    (import "depth" (func $depth (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (func (export "f") (param i32) (result i32)
        (call $set (i32.add (local.get 0) (i32.const 100)))
        (drop (call $depth))
        (call $get)))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "f" (func $f (param "x" u32) (result u32)))
    (import "sleep" (func $sleep async))
    (core func $f' (canon lower (func $f)))
    (core func $sleep' (canon lower (func $sleep)))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (import "" "sleep" (func $sleep))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (import "" "return" (func $return (param i32)))
      (func (export "run") (param i32)
        (local $sum i32)
        (call $set (local.get 0))
        (local.set $sum (call $f (local.get 0)))
        (call $sleep)
        (local.set $sum (i32.add (local.get $sum) (call $f (local.get 0))))
        (call $return
          (i32.add (i32.mul (i32.const 1000) (call $get)) (local.get $sum)))))
    (core func $return (canon task.return (result u32)))
    (core instance $i (instantiate $m (with "" (instance
      (export "f" (func $f')) (export "sleep" (func $sleep')) (export "return" (func $return))
      (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "run") async (param "x" u32) (result u32)
      (canon lift (core func $i "run") async)))
  (instance $callee (instantiate $Callee (with "depth" (func $depth))))
  (instance $run (instantiate $Run
    (with "f" (func $callee "f")) (with "sleep" (func $sleep))))
  (export "run" (func $run "run")))
