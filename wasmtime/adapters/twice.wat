;; A chain of three, where the two behind B are one component, instantiated twice.
;; Its module has a different import each time, so it calls through a pointer, and
;; what is behind that can look at the record of the adapter in B's loop.
(component
  (component $A
    (core module $MA
      (func (export "f") (param i32) (result i32)
        (i32.add (local.get 0) (i32.const 42))))
    (core instance $m (instantiate $MA))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $m "f"))))
  (component $M
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $lowered (canon lower (func $f)))
    (core module $MM
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (i32.xor (call $f (local.get 0)) (i32.const 7))))
    (core instance $m (instantiate $MM (with "" (instance (export "f" (func $lowered))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $m "f"))))
  (component $B
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $lowered (canon lower (func $f)))
    (core module $MB
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32)
        (loop $l
          (local.set $acc (i32.add (local.get $acc) (call $f (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance (export "f" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A))
  (instance $m1 (instantiate $M (with "f" (func $a "f"))))
  (instance $m2 (instantiate $M (with "f" (func $m1 "f"))))
  (instance $b (instantiate $B (with "f" (func $m2 "f"))))
  (export "run" (func $b "run")))
