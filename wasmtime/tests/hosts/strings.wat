;; A caller that passes a string to a callee of another encoding. What the string is
;; the argument says: 0 a good one, 1 one that is no UTF-8, 2 one that is not in memory.
(component
  (component $Callee
    (core module $m
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "realloc") (param $old i32) (param i32 i32) (param $size i32) (result i32)
        (local $at i32)
        (if (local.get $old) (then (return (local.get $old))))
        (local.set $at (global.get $next))
        (global.set $next (i32.and
          (i32.add (local.get $at) (i32.add (local.get $size) (i32.const 8)))
          (i32.const 0xfff8)))
        (local.get $at))
      (func (export "f") (param i32 i32) (result i32)
        (i32.add (i32.mul (i32.const 1000) (local.get 1)) (i32.load16_u (local.get 0)))))
    (core instance $i (instantiate $m))
    (func (export "f") (param "x" string) (result u32)
      (canon lift (core func $i "f") string-encoding=utf16
        (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
  (component $Run
    (import "f" (func $f (param "x" string) (result u32)))
    (core module $memory
      (memory (export "memory") 1)
      (data (i32.const 16) "Grass") (data (i32.const 32) "\ff\ff\ff\ff\ff"))
    (core instance $memory (instantiate $memory))
    (core func $f' (canon lower (func $f) (memory (core memory $memory "memory"))))
    (core func $set (canon context.set i32 0))
    (core func $get (canon context.get i32 0))
    (core module $m
      (import "" "f" (func $f (param i32 i32) (result i32)))
      (import "" "set" (func $set (param i32)))
      (import "" "get" (func $get (result i32)))
      (func $at (param i32) (result i32)
        (block $b (block $a
          (br_table $a $b (local.get 0)))
          (return (i32.const 16)))
        (select (i32.const 32) (i32.const 0x7fff0000) (i32.eq (local.get 0) (i32.const 1))))
      (func (export "run") (param i32) (result i32)
        (local $result i32)
        (call $set (i32.const 42))
        (local.set $result (call $f (call $at (local.get 0)) (i32.const 5)))
        (i32.add (i32.mul (i32.const 100000) (call $get)) (local.get $result))))
    (core instance $i (instantiate $m (with "" (instance
      (export "f" (func $f')) (export "set" (func $set)) (export "get" (func $get))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee))
  (instance $run (instantiate $Run (with "f" (func $callee "f"))))
  (export "run" (func $run "run")))
