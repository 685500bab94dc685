;; context.get and context.set in callers and callees: each task has a slot of
;; its own, which begins as zero, and a caller finds its own again.

(component
  (component $Callee
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      ;; What the slot holds on entry has to be nothing.
      (func (export "f") (param i32) (result i32)
        (local $before i32)
        (local.set $before (call $get))
        (call $set (local.get 0))
        (i32.add
          (i32.mul (local.get $before) (i32.const 1000000))
          (i32.add (call $get) (i32.const 1)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Caller
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $lowered (canon lower (func $f)))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $sum i32)
        (call $set (i32.const 7))
        (loop $again
          (local.set $sum (i32.add (local.get $sum) (call $f (local.get $n))))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $again (local.get $n)))
        (i32.add (i32.mul (call $get) (i32.const 1000)) (local.get $sum)))
      (func (export "again") (result i32) (call $get)))
    (core instance $i (instantiate $m (with "" (instance
      (export "f" (func $lowered)) (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $i "run")))
    (func (export "again") (result u32) (canon lift (core func $i "again"))))
  (instance $callee (instantiate $Callee))
  (instance $caller (instantiate $Caller (with "f" (func $callee "f"))))
  (export "run" (func $caller "run"))
  (export "again" (func $caller "again")))

(assert_return (invoke "run" (u32.const 1)) (u32.const 7002))
(assert_return (invoke "run" (u32.const 3)) (u32.const 7009))
(assert_return (invoke "again") (u32.const 0))
