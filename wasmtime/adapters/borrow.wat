;; A method on a borrowed resource. The handle goes through the host, which takes the record of
;; the adapter for a task of its own: so it is kept, and that is most of what a call costs.
(component
  (component $A
    (type $box' (resource (rep i32)))
    (export $box "box" (type $box'))
    (core func $new (canon resource.new $box'))
    (core module $MA
      (import "" "new" (func $new (param i32) (result i32)))
      (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "weight") (param i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 1))))
    (core instance $m (instantiate $MA (with "" (instance (export "new" (func $new))))))
    (func (export "[constructor]box") (param "weight" u32) (result (own $box))
      (canon lift (core func $m "make")))
    (func (export "[method]box.weight") (param "self" (borrow $box)) (param "more" u32) (result u32)
      (canon lift (core func $m "weight"))))
  (component $B
    (import "a" (instance $a
      (export "box" (type $box (sub resource)))
      (export "[constructor]box" (func (param "weight" u32) (result (own $box))))
      (export "[method]box.weight"
        (func (param "self" (borrow $box)) (param "more" u32) (result u32)))))
    (core func $make (canon lower (func $a "[constructor]box")))
    (core func $weight (canon lower (func $a "[method]box.weight")))
    (core module $MB
      (import "" "make" (func $make (param i32) (result i32)))
      (import "" "weight" (func $weight (param i32 i32) (result i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32) (local $box i32)
        (local.set $box (call $make (i32.const 42)))
        (loop $l
          (local.set $acc (i32.add (local.get $acc) (call $weight (local.get $box) (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance
      (export "make" (func $make)) (export "weight" (func $weight))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A))
  (instance $b (instantiate $B (with "a" (instance $a))))
  (export "run" (func $b "run")))
