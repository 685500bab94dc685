;; Three components; each may ask the host for the depth of the call stack,
;; before and behind its own call. Bits of the argument say who asks when.
(component
  (import "depth" (func $depth (result u32)))
  (component $Inner
    (import "depth" (func $depth (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (func (export "f") (param i32) (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (drop (call $depth))))
        (if (i32.and (local.get 0) (i32.const 32)) (then unreachable))
        (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m (with "" (instance (export "depth" (func $depth'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Outer
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (local $result i32)
        (if (i32.and (local.get 0) (i32.const 2)) (then (drop (call $depth))))
        (local.set $result (call $f (local.get 0)))
        (if (i32.and (local.get 0) (i32.const 4)) (then (drop (call $depth))))
        (local.get $result)))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $result i32)
        (if (i32.and (local.get 0) (i32.const 8)) (then (drop (call $depth))))
        (local.set $result (i32.add (call $f (local.get 0)) (call $f (i32.const 0))))
        (if (i32.and (local.get 0) (i32.const 16)) (then (drop (call $depth))))
        (local.get $result)))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $inner (instantiate $Inner (with "depth" (func $depth))))
  (instance $outer (instantiate $Outer
    (with "depth" (func $depth)) (with "f" (func $inner "f"))))
  (instance $run (instantiate $Run
    (with "depth" (func $depth)) (with "f" (func $outer "f"))))
  (export "run" (func $run "run")))
