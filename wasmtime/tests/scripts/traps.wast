;; Traps in callees: what happened before them stays, and afterwards nothing of
;; the component can be entered, while others are as they were.

(component definition $Divide
  (component $Callee
    (core module $m
      (global $calls (mut i32) (i32.const 0))
      (func (export "divide") (param i32 i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.div_u (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func (export "divide") (param "a" u32) (param "b" u32) (result u32)
      (canon lift (core func $i "divide"))))
  (component $Caller
    (import "divide" (func $divide (param "a" u32) (param "b" u32) (result u32)))
    (core func $lowered (canon lower (func $divide)))
    (core module $m
      (import "" "divide" (func $divide (param i32 i32) (result i32)))
      (func (export "run") (param i32 i32) (result i32)
        (i32.add
          (call $divide (local.get 0) (i32.const 2))
          (call $divide (local.get 0) (local.get 1)))))
    (core instance $i (instantiate $m (with "" (instance (export "divide" (func $lowered))))))
    (func (export "run") (param "a" u32) (param "b" u32) (result u32)
      (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee))
  (instance $caller (instantiate $Caller (with "divide" (func $callee "divide"))))
  (export "run" (func $caller "run")))

(component instance $one $Divide)
(assert_return (invoke "run" (u32.const 100) (u32.const 5)) (u32.const 70))
(assert_trap (invoke "run" (u32.const 100) (u32.const 0)) "integer divide by zero")
(assert_trap (invoke "run" (u32.const 100) (u32.const 5)) "cannot enter component instance")
(component instance $other $Divide)
(assert_return (invoke "run" (u32.const 100) (u32.const 4)) (u32.const 75))

;; The stack runs out inside of a callee that calls itself.
(component definition $Deep
  (component $Callee
    (core module $m
      (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.const 0))
          (else
            (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1))))))))
    (core instance $i (instantiate $m))
    (func (export "deep") (param "n" u32) (result u32) (canon lift (core func $i "deep"))))
  (component $Caller
    (import "deep" (func $deep (param "n" u32) (result u32)))
    (core func $lowered (canon lower (func $deep)))
    (core module $m
      (import "" "deep" (func $deep (param i32) (result i32)))
      (func (export "run") (param i32) (result i32) (call $deep (local.get 0))))
    (core instance $i (instantiate $m (with "" (instance (export "deep" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee))
  (instance $caller (instantiate $Caller (with "deep" (func $callee "deep"))))
  (export "run" (func $caller "run")))

(component instance $deep $Deep)
(assert_return (invoke "run" (u32.const 100)) (u32.const 100))
(assert_trap (invoke "run" (u32.const 100000000)) "call stack exhausted")
