;; The chain of three, where each component may call the host on a cold path.
(component
  (import "h" (func $h (param "x" u32) (result u32)))
  (component $A
    (import "h" (func $h (param "x" u32) (result u32)))
    (core func $host (canon lower (func $h)))
    (core module $MA
      (import "" "h" (func $h (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (if (result i32) (i32.eq (local.get 0) (i32.const -1))
          (then (call $h (local.get 0)))
          (else (i32.add (local.get 0) (i32.const 42))))))
    (core instance $m (instantiate $MA (with "" (instance (export "h" (func $host))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $m "f"))))
  (component $M
    (import "h" (func $h (param "x" u32) (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $host (canon lower (func $h)))
    (core func $lowered (canon lower (func $f)))
    (core module $MM
      (import "" "h" (func $h (param i32) (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "g") (param i32) (result i32)
        (if (result i32) (i32.eq (local.get 0) (i32.const -2))
          (then (call $h (local.get 0)))
          (else (i32.xor (call $f (local.get 0)) (i32.const 7))))))
    (core instance $m (instantiate $MM (with "" (instance
      (export "h" (func $host)) (export "f" (func $lowered))))))
    (func (export "g") (param "x" u32) (result u32) (canon lift (core func $m "g"))))
  (component $B
    (import "h" (func $h (param "x" u32) (result u32)))
    (import "g" (func $g (param "x" u32) (result u32)))
    (core func $host (canon lower (func $h)))
    (core func $lowered (canon lower (func $g)))
    (core module $MB
      (import "" "h" (func $h (param i32) (result i32)))
      (import "" "g" (func $g (param i32) (result i32)))
      (func $step (param i32) (result i32)
        (if (result i32) (i32.eq (local.get 0) (i32.const -3))
          (then (call $h (local.get 0)))
          (else (call $g (local.get 0)))))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32)
        (loop $l
          (local.set $acc (i32.add (local.get $acc) (call $step (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance
      (export "h" (func $host)) (export "g" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A (with "h" (func $h))))
  (instance $m (instantiate $M (with "h" (func $h)) (with "f" (func $a "f"))))
  (instance $b (instantiate $B (with "h" (func $h)) (with "g" (func $m "g"))))
  (export "run" (func $b "run")))
