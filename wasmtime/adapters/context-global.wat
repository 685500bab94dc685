;; The callee of context.wat, with a mutable global in place of the slot.
(component
  (component $A
    (core module $MA
      (global $slot (mut i32) (i32.const 0))
      (func (export "f") (param i32) (result i32)
        (global.set $slot (i32.add (local.get 0) (i32.const 1)))
        (i32.add (global.get $slot) (i32.const 41))))
    (core instance $m (instantiate $MA))
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
  (instance $b (instantiate $B (with "f" (func $a "f"))))
  (export "run" (func $b "run")))
