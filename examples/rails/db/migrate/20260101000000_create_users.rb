# frozen_string_literal: true

class CreateUsers < ActiveRecord::Migration[6.1]
  def change
    create_table :users do |t|
      t.string :login, null: false, index: { unique: true }
      t.string :email, null: false, index: { unique: true }
      t.timestamps
    end

    create_table :email_changes do |t|
      t.references :user, null: false, foreign_key: true
      t.bigint :token, null: false, index: { unique: true }
      t.datetime :finished_at
      t.timestamps
    end
  end
end
