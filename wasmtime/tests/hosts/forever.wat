;; Calls an adapter until it is interrupted.
(component
  (component $Callee
    (core module $m
      (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (loop $again
          (local.set 0 (call $f (local.get 0)))
          (br_if $again (local.get 0))
          (br $again))
        unreachable))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee))
  (instance $run (instantiate $Run (with "f" (func $callee "f"))))
  (export "run" (func $run "run")))
