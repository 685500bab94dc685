;; One caller, one callee; the callee asks the host to enter another instance.
(component
  (import "depth" (func $depth (result u32)))
  (import "enter" (func $enter (param "x" u32) (result u32)))
  (component $Callee
    (import "enter" (func $enter (param "x" u32) (result u32)))
    (core func $enter' (canon lower (func $enter)))
    (core module $m
      (import "" "enter" (func $enter (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (i32.add (call $enter (local.get 0)) (i32.const 1))))
    (core instance $i (instantiate $m (with "" (instance (export "enter" (func $enter'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Caller
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $result i32)
        (local.set $result (call $f (local.get 0)))
        (drop (call $depth))
        (i32.add (local.get $result) (call $f (local.get 0)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee (with "enter" (func $enter))))
  (instance $caller (instantiate $Caller
    (with "depth" (func $depth)) (with "f" (func $callee "f"))))
  (export "run" (func $caller "run")))
