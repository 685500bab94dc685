;; A string of seven bytes goes to the callee, which adds up its length and its first byte, and
;; calls the host if that is a zero. The callee's `realloc` gives the same place each time.
(component
  (import "h" (func $h (param "x" u32) (result u32)))
  (component $A
    (import "h" (func $h (param "x" u32) (result u32)))
    (core func $host (canon lower (func $h)))
    (core module $MA
      (import "" "h" (func $h (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      (func (export "f") (param $at i32) (param $bytes i32) (result i32)
        (local $first i32)
        (if (result i32) (local.tee $first (i32.load8_u (local.get $at)))
          (then (i32.add (local.get $first) (local.get $bytes)))
          (else (call $h (local.get $bytes))))))
    (core instance $m (instantiate $MA (with "" (instance (export "h" (func $host))))))
    (alias core export $m "memory" (core memory $memory))
    (alias core export $m "realloc" (core func $realloc))
    (func (export "f") (param "s" string) (result u32)
      (canon lift (core func $m "f") (memory $memory) (realloc $realloc))))
  (component $B
    (import "f" (func $f (param "s" string) (result u32)))
    (core module $Memory
      (memory (export "memory") 1)
      (data (i32.const 16) "seventh"))
    (core instance $i (instantiate $Memory))
    (alias core export $i "memory" (core memory $memory))
    (core func $lowered (canon lower (func $f) (memory $memory)))
    (core module $MB
      (import "" "f" (func $f (param i32 i32) (result i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32)
        (loop $l
          (local.set $acc (i32.add (local.get $acc) (call $f (i32.const 16) (i32.const 7))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance (export "f" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A (with "h" (func $h))))
  (instance $b (instantiate $B (with "f" (func $a "f"))))
  (export "run" (func $b "run")))
