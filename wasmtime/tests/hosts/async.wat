;; The same callee, called by a caller that waits and by one that does not.
(component
  (import "depth" (func $depth (result u32)))
  (component $Callee
    (import "depth" (func $depth (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (func (export "f") (param i32) (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (drop (call $depth))))
        (i32.add (local.get 0) (i32.const 5))))
    (core instance $i (instantiate $m (with "" (instance (export "depth" (func $depth'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f")))
    (func (export "g") async (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (import "g" (func $g async (param "x" u32) (result u32)))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $depth' (canon lower (func $depth)))
    (core func $sync (canon lower (func $f)))
    (core func $async (canon lower (func $g) async (memory (core memory $memory "memory"))))
    (core module $m
      (import "" "memory" (memory 1))
      (import "" "depth" (func $depth (result i32)))
      (import "" "sync" (func $sync (param i32) (result i32)))
      (import "" "async" (func $async (param i32 i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $status i32) (local $sum i32)
        (local.set $sum (call $sync (local.get 0)))
        (local.set $status (call $async (local.get 0) (i32.const 64)))
        (local.set $sum (i32.add (local.get $sum) (call $sync (local.get 0))))
        (drop (call $depth))
        (i32.add
          (i32.mul (i32.const 10000) (local.get $status))
          (i32.add
            (i32.mul (i32.const 100) (i32.load (i32.const 64)))
            (local.get $sum)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "memory" (memory $memory "memory"))
      (export "depth" (func $depth'))
      (export "sync" (func $sync))
      (export "async" (func $async))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee (with "depth" (func $depth))))
  (instance $run (instantiate $Run
    (with "depth" (func $depth))
    (with "f" (func $callee "f"))
    (with "g" (func $callee "g"))))
  (export "run" (func $run "run")))
