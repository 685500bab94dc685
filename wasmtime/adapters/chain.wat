;; A chain of three components, each with a module of its own: B's loop calls
;; M, which calls A. Nobody on the way can see the task record.
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
      (func (export "g") (param i32) (result i32)
        (i32.xor (call $f (local.get 0)) (i32.const 7))))
    (core instance $m (instantiate $MM (with "" (instance (export "f" (func $lowered))))))
    (func (export "g") (param "x" u32) (result u32) (canon lift (core func $m "g"))))
  (component $B
    (import "g" (func $g (param "x" u32) (result u32)))
    (core func $lowered (canon lower (func $g)))
    (core module $MB
      (import "" "g" (func $g (param i32) (result i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32)
        (loop $l
          (local.set $acc (i32.add (local.get $acc) (call $g (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance (export "g" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A))
  (instance $m (instantiate $M (with "f" (func $a "f"))))
  (instance $b (instantiate $B (with "g" (func $m "g"))))
  (export "run" (func $b "run")))
