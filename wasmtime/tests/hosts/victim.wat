;; Sets slot 0, has the host enter another instance in the manner that the argument
;; says, and returns what is in the slot then.
(component
  (import "t" (type $t (sub resource)))
  (import "make" (func $make (param "x" u32) (result (own $t))))
  (import "enter" (func $enter (param "x" u32) (result u32)))
  (import "tick" (func $tick))
  (core func $make' (canon lower (func $make)))
  (core func $enter' (canon lower (func $enter)))
  (core func $tick' (canon lower (func $tick)))
  (core func $drop (canon resource.drop $t))
  (core func $set (canon context.set i32 0))
  (core func $get (canon context.get i32 0))
  (core module $m
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "enter" (func $enter (param i32) (result i32)))
    (import "" "tick" (func $tick))
    (import "" "drop" (func $drop (param i32)))
    (import "" "set" (func $set (param i32)))
    (import "" "get" (func $get (result i32)))
    (tag $tag)
    (memory 1)
    ;; Drops a resource, whose destructor enters.
    (func $by_destructor
      (local $handle i32)
      (local.set $handle (call $make (i32.const 0x7fff0000)))
      (call $set (i32.const 42))
      (call $drop (local.get $handle)))
    ;; Calls a host function that enters.
    (func $by_call
      (call $set (i32.const 42))
      (drop (call $enter (i32.const 0x7fff0000))))
    ;; Lets an epoch end: the callback enters at the next turn of the loop.
    (func $by_epoch
      (local $turns i32)
      (call $tick)
      (call $set (i32.const 42))
      (loop $again
        (local.set $turns (i32.add (local.get $turns) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $turns) (i32.const 10)))))
    ;; Calls the runtime: a call hook enters.
    (func $by_hook
      (call $set (i32.const 42))
      (drop (memory.grow (i32.const 1))))
    (func $throws
      (local $handle i32)
      (local.set $handle (call $make (i32.const 0x7fff0000)))
      (call $set (i32.const 43))
      (call $drop (local.get $handle))
      (if (i32.eqz (i32.const 0)) (then (throw $tag)))
      (call $set (i32.const 44)))
    ;; Catches an exception that is thrown behind the call of a destructor.
    (func $by_exception
      (block $caught
        (try_table (catch $tag $caught)
          (call $set (i32.const 42))
          (call $throws))))
    (func (export "run") (param i32) (result i32)
      (block $e (block $d (block $c (block $b (block $a
        (br_table $a $b $c $d $e (local.get 0)))
        (call $by_destructor) (return (call $get)))
        (call $by_call) (return (call $get)))
        (call $by_epoch) (return (call $get)))
        (call $by_hook) (return (call $get)))
      (call $by_exception)
      (call $get)))
  (core instance $i (instantiate $m (with "" (instance
    (export "make" (func $make')) (export "enter" (func $enter'))
    (export "tick" (func $tick')) (export "drop" (func $drop))
    (export "set" (func $set)) (export "get" (func $get))))))
  (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
