;; Its start function tells what it finds: the depth of the call stack and its slot.
(component
  (import "depth" (func $depth (result u32)))
  (import "note" (func $note (param "x" u32)))
  (core func $depth' (canon lower (func $depth)))
  (core func $note' (canon lower (func $note)))
  (core func $set (canon context.set i32 0))
  (core func $get (canon context.get i32 0))
  (core module $m
    (import "" "depth" (func $depth (result i32)))
    (import "" "note" (func $note (param i32)))
    (import "" "set" (func $set (param i32)))
    (import "" "get" (func $get (result i32)))
    (func $start
      (call $note (call $get))
      (call $set (i32.const 5))
      (drop (call $depth))
      (call $note (call $get)))
    (start $start))
  (core instance $i (instantiate $m (with "" (instance
    (export "depth" (func $depth')) (export "note" (func $note'))
    (export "set" (func $set)) (export "get" (func $get)))))))
